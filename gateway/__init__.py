"""What happens to a message: compose, decide, seal, store, deliver, open, audit."""
