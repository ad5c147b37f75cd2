"""What executing an operation costs: by its compiled plan, by graphql-core, and the floor below both."""
