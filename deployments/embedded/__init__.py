"""The whole stack as one supervised process tree, without Docker."""
