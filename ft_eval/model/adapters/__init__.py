"""Models that others trained: what they must offer, how theirs are read, and the checks that hold them to the paper.

protocol   the surface that evaluation needs of a model, and how a class of one's own is found
base       what makes such a model of any two functions X(tokens) and hidden(X, R)
opening    a path to a model, whichever layout it has
convert    a path to a folder of our own, where the mathematics allows
"""
