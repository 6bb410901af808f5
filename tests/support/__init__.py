"""What the tests stand on: private servers, real processes, recording targets, waiting, factories."""
