"""What our delivery is measured against: the plain way to do it, and the limit of what can be done."""
