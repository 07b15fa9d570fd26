"""Files of this machine: the cache of what can be made again, and folders that live as long as their process."""
