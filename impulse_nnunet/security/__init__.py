"""Files from outside: models, plans and archives are looked at before anything in them is imported or run."""
