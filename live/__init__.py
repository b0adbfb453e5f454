"""Everything that runs along a stream: camera sources, the frame pipeline, alerts, sinks and the web page."""
