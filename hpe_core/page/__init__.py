"""What the stage `report` makes: one HTML page of all results.
Numbers come from evaluation/, tables from tables/.
"""
