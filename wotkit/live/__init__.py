"""What happens to readings at the moment they were stored."""
