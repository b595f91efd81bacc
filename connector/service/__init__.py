"""The service that runs unattended: when each company's turn comes, who takes it, and whether all is well."""
