"""Measures: errors, predictions, uncertainty, calibration, bootstrap, comparison, jitter.
Showing them is the job of tables/ and page/.
"""
