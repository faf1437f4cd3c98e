"""The server: HTTP (REST, GraphQL, agents) and Flight SQL before one query service."""
