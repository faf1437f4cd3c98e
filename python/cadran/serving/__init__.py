"""One query service for every protocol: questions in, answers out, judged, kept, recorded once."""
