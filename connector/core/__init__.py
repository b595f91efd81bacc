"""The core: from CRM records to decisions and planned writes. Pure: no I/O, no clock, no chance, no logging."""
