"""Ask a robot's cameras spatial questions: frames in, code written by a model, answers in metres and named frames."""

__version__ = "0.1.0"
