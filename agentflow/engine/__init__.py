"""Turns a leased run into an outcome; knows neither HTTP nor models."""
