"""What values become: parts of a key (`canonical`), and bytes in a store and back (`codec`)."""
