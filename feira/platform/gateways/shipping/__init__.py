"""Carriers: what they would charge for a parcel."""
