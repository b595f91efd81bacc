"""What every CRM adapter is built from: the protocol, the transport, and the base of its sandbox."""
