"""SemanticFingerprints of KPIs: canonical SQL, fingerprints, records, frozen versions."""
