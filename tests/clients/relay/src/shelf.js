// Pages of a connection, and an object that is asked for again by its id. The compiler reads this file; nothing runs it.
import { graphql } from "relay-runtime";

graphql`
  fragment shelf_page on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 2 }, cursor: { type: "String" })
  @refetchable(queryName: "shelfPageQuery") {
    products(first: $count, after: $cursor) @connection(key: "shelf_products") {
      edges {
        node {
          name
          ...shelf_stock
        }
      }
    }
  }
`;

graphql`
  query shelfQuery {
    ...shelf_page
  }
`;

graphql`
  fragment shelf_stock on Product @refetchable(queryName: "shelfStockQuery") {
    stock {
      quantity
    }
  }
`;
