"""One desk for every protocol: questions in, answers out, judged, kept, and recorded once."""
