"""mql-connector: pull leads from HubSpot and Salesforce, score them with one core, hand the MQLs to sales."""
