"""What makes a training that was stopped go on as if nobody had stopped it, with any Trainer of transformers."""
