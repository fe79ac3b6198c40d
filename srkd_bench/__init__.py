"""srkd: which way of distilling a super-resolution network really helps?"""

__version__ = "0.1.0"
