"""Files of this machine: whole or not there, locked, cached, and folders that live as long as their process."""
