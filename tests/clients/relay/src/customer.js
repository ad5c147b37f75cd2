// A field that fails, in the three ways in which Relay tells of it. The compiler reads this file; nothing runs it.
import { graphql } from "relay-runtime";

graphql`
  query customerQuery($id: ID!) {
    customer(id: $id) {
      name
      email
    }
  }
`;

graphql`
  query customerThrowingQuery($id: ID!) @throwOnFieldError {
    customer(id: $id) {
      name
      email
    }
  }
`;

graphql`
  query customerCatchingQuery($id: ID!) {
    customer(id: $id) {
      name
      email @catch(to: RESULT)
    }
  }
`;
