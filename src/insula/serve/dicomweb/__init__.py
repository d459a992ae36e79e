"""DICOMweb (PS3.18): objects in, what was made of them out, and work items."""
