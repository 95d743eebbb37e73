"""The starter's text tower: real data, sentences of our own, teachers, and how it is learnt from them."""
