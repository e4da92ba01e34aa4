"""Policy methods on simulators that can be copied: optional rooms which nothing else imports."""
