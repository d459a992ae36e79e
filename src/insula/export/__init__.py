"""Export: the trained network as a bundle, refused where it does not equal the network; a bundle in other forms."""
