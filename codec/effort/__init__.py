"""Better symbols for the same decoder: what an encoder finds if it may think longer."""
