use airc_registry as _;
