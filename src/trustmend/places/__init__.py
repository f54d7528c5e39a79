"""The kinds of places where trust stores are: each module yields locations and knows no format."""
