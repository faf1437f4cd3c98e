"""The dbt Semantic Layer's GraphQL API, for the clients that were written for it."""

from cadran.server.graphql.http import routes, running

__all__ = ["routes", "running"]
