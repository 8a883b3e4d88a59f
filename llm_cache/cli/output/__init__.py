"""What a terminal, a pipe or a program gets to see; `screen` alone knows what a terminal can do."""
