"""The operator's tool: one policy file, signed documents, publishing, provisioning, reports."""
