"""``python -m wotkit.cli`` is ``wotkit``."""

from wotkit.cli import main

main(prog_name="wotkit")
