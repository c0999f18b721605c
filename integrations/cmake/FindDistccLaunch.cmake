# find_package(DistccLaunch) by way of CMAKE_MODULE_PATH: what DistccLaunch.cmake says.

include("${CMAKE_CURRENT_LIST_DIR}/DistccLaunch.cmake")
set(DistccLaunch_FOUND TRUE)
if(DISTCC_LAUNCH AND NOT DISTCC_LAUNCH_EXECUTABLE)
  set(DistccLaunch_FOUND FALSE)
  set(DistccLaunch_NOT_FOUND_MESSAGE "there is no distcc-launch; set DISTCC_LAUNCH_EXECUTABLE to its path")
endif()
