"""Planning of anatomical resections: branches, distances, margins, cut lists. Research use, not a medical device."""
