"""The demo: a user, a team, a key and sensors with a year of real temperatures, to try it out."""

from wotkit.demo.build import Demo, DemoImpossible, prepare

__all__ = ["Demo", "DemoImpossible", "prepare"]
