"""ft-eval: does a latent model beat its baseline, by how much, is it real, what does Z do, and what does it cost?"""

__version__ = "0.1.0"
