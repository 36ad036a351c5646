"""What tests of flows and of plug-ins are made with."""
