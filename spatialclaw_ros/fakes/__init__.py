"""Stand-ins for tests and trials, shipped for users' own tests: a chat server, a scripted backbone, a segmenter."""
