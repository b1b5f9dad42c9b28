"""Floor 1. One file a wire protocol: say(request) and hear(response), pure."""
