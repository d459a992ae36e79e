"""De-identification of scans by the profile of DICOM PS3.15, Annex E, and of the other kinds of file that are read."""
