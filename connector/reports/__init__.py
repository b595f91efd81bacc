"""What people ask about the leads, answered from the store; knows no CRM, decides nothing."""
