"""The command `hpe`: options and help, by Typer, and nothing else.
What the commands do is inference/.
"""
