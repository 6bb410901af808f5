"""What ours is measured against: the plain way to do it, the limit of what can be done, other libraries."""
