# find_package(DistccLaunch) by way of CMAKE_PREFIX_PATH or DistccLaunch_DIR.

include("${CMAKE_CURRENT_LIST_DIR}/FindDistccLaunch.cmake")
