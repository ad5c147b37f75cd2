// A fragment that goes deeper into what its parent asks for too, and fails in a field. The compiler reads this; nothing runs it.
import { graphql } from "relay-runtime";

graphql`
  fragment product_more on Product {
    reviews(first: 1) {
      rating
      author {
        email @catch(to: RESULT)
      }
    }
    stock {
      warehouse
    }
  }
`;

graphql`
  query productQuery($id: ID!) {
    product(id: $id) {
      name
      stock {
        quantity
      }
      ...product_more @defer
    }
  }
`;
