# Compiles a CMake project through distcc-launch, and sizes its Ninja job pools.
#
# Use it in one of four ways:
#   cmake -DCMAKE_PROJECT_INCLUDE=/path/DistccLaunch.cmake …               (CMake 3.15 and newer)
#   cmake -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=/path/DistccLaunch.cmake …    (CMake 3.24 and newer)
#   include(/path/DistccLaunch.cmake)                                      (after project())
#   find_package(DistccLaunch)                                             (after project())
#
#   DISTCC_LAUNCH=OFF              switches it off
#   DISTCC_LAUNCH_EXECUTABLE=PATH  names the launcher when it is neither in PATH nor beside this installation
#   DISTCC_LAUNCH_WRAP_CUSTOM=ON   custom commands too wait for a free processor of this machine
#
# How many jobs fit comes from `distcc-launch jobs`; nothing is decided here.

get_property(_distcc_launch_probing GLOBAL PROPERTY IN_TRY_COMPILE)
if(_distcc_launch_probing)
  return()
endif()
include_guard(DIRECTORY)

option(DISTCC_LAUNCH "Compile through distcc-launch" ON)
if(NOT DISTCC_LAUNCH)
  return()
endif()

# A launcher that has been removed since would stop the build: look again.
if(DISTCC_LAUNCH_EXECUTABLE AND NOT EXISTS "${DISTCC_LAUNCH_EXECUTABLE}")
  unset(DISTCC_LAUNCH_EXECUTABLE CACHE)
  unset(DISTCC_LAUNCH_EXECUTABLE)
endif()
# Installed in PREFIX/share/cmake/DistccLaunch, the launcher is in PREFIX/bin.
set(_distcc_launch_bin "")
if(CMAKE_CURRENT_LIST_DIR MATCHES "/share/cmake/DistccLaunch$")
  set(_distcc_launch_bin "${CMAKE_CURRENT_LIST_DIR}/../../../bin")
endif()
find_program(DISTCC_LAUNCH_EXECUTABLE NAMES distcc-launch
  HINTS "${_distcc_launch_bin}"
  NO_CMAKE_FIND_ROOT_PATH
  DOC "The launcher that compiles go through")
if(NOT DISTCC_LAUNCH_EXECUTABLE)
  message(STATUS "distcc-launch: not found, everything is compiled here (set DISTCC_LAUNCH_EXECUTABLE to its path)")
  return()
endif()

# Declares the pools `ARGN`, and follows a ccache that the project chose after us.  Runs when the top directory has been
# read: a project that sets JOB_POOLS without APPEND would drop ours, and Ninja stops at a pool that nobody declared.
function(_distcc_launch_finish)
  get_property(declared GLOBAL PROPERTY JOB_POOLS)
  if(NOT declared)
    # CMake looks at CMAKE_JOB_POOLS only while the property is empty, which it will not be from here on.
    set(declared ${CMAKE_JOB_POOLS})
  endif()
  foreach(pool IN LISTS ARGN)
    string(REGEX REPLACE "=.*" "=" name "${pool}")
    if(NOT ";${declared}" MATCHES ";${name}")
      list(APPEND declared "${pool}")
    endif()
  endforeach()
  set_property(GLOBAL PROPERTY JOB_POOLS "${declared}")
  _distcc_launch_follow("${CMAKE_SOURCE_DIR}")
endfunction()

function(_distcc_launch_follow directory)
  get_property(targets DIRECTORY "${directory}" PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    foreach(language IN ITEMS C CXX OBJC OBJCXX)
      get_property(launcher TARGET ${target} PROPERTY ${language}_COMPILER_LAUNCHER)
      if(launcher MATCHES "(^|[/;])ccache$")
        _distcc_launch_add(launcher)
        set_property(TARGET ${target} PROPERTY ${language}_COMPILER_LAUNCHER "${launcher}")
      endif()
    endforeach()
  endforeach()
  get_property(below DIRECTORY "${directory}" PROPERTY SUBDIRECTORIES)
  foreach(one IN LISTS below)
    _distcc_launch_follow("${one}")
  endforeach()
endfunction()

# Adds the launcher to the list in `variable`, once.  ccache takes a second word of its own command for a source and then
# caches nothing, so it is told to start us.  A list that names something else is the user's own and stays as it is.
function(_distcc_launch_add variable)
  set(list ${${variable}})
  if("${list}" MATCHES "(^|[/;])distcc(-launch)?(;|$)")
    return()
  elseif("${list}" STREQUAL "")
    set(list "${DISTCC_LAUNCH_EXECUTABLE}")
  elseif("${list}" MATCHES "(^|[/;])ccache$" AND NOT DISTCC_LAUNCH_EXECUTABLE MATCHES " ")
    list(GET list -1 ccache)
    execute_process(COMMAND "${ccache}" --get-config prefix_command
      OUTPUT_VARIABLE prefix ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT prefix MATCHES "distcc")
      string(STRIP "${prefix} ${DISTCC_LAUNCH_EXECUTABLE}" prefix)
      list(REMOVE_AT list -1)
      list(APPEND list env "CCACHE_PREFIX=${prefix}" "${ccache}")
    endif()
  else()
    message(STATUS "distcc-launch: ${variable} is ${list} and stays so")
  endif()
  set(${variable} "${list}" PARENT_SCOPE)
endfunction()

foreach(_distcc_launch_language IN ITEMS C CXX OBJC OBJCXX)
  set(_distcc_launch_variable CMAKE_${_distcc_launch_language}_COMPILER_LAUNCHER)
  # CMake reads the environment when it enables the language, which may still be to come.
  if(NOT DEFINED ${_distcc_launch_variable} AND DEFINED ENV{${_distcc_launch_variable}})
    set(${_distcc_launch_variable} "$ENV{${_distcc_launch_variable}}")
  endif()
  _distcc_launch_add(${_distcc_launch_variable})
endforeach()

if(DISTCC_LAUNCH_WRAP_CUSTOM)
  get_property(_distcc_launch_theirs GLOBAL PROPERTY RULE_LAUNCH_CUSTOM)
  if(NOT _distcc_launch_theirs)
    set_property(GLOBAL PROPERTY RULE_LAUNCH_CUSTOM "\"${DISTCC_LAUNCH_EXECUTABLE}\" local --")
  endif()
endif()

execute_process(COMMAND "${DISTCC_LAUNCH_EXECUTABLE}" jobs --json
  OUTPUT_VARIABLE _distcc_launch_jobs ERROR_QUIET RESULT_VARIABLE _distcc_launch_code)
set(_distcc_launch_said "distcc-launch: ${DISTCC_LAUNCH_EXECUTABLE}")
set(_distcc_launch_pools)
if(_distcc_launch_code EQUAL 0 AND _distcc_launch_jobs MATCHES "\"total\":([1-9][0-9]*)")
  string(APPEND _distcc_launch_said ", build with -j ${CMAKE_MATCH_1}")
  if(_distcc_launch_jobs MATCHES "\"remote\":0,")
    string(APPEND _distcc_launch_said " (no hosts: everything is compiled here)")
  endif()
  # Pools only narrow what -j allows: compiles to all slots, links and precompiled headers to what this machine bears.
  if(CMAKE_GENERATOR MATCHES "Ninja")
    foreach(_distcc_launch_step IN ITEMS compile=total link=link precompile_header=local)
      string(REPLACE "=" ";" _distcc_launch_step "${_distcc_launch_step}")
      list(GET _distcc_launch_step 1 _distcc_launch_number)
      list(GET _distcc_launch_step 0 _distcc_launch_step)
      string(TOUPPER "CMAKE_JOB_POOL_${_distcc_launch_step}" _distcc_launch_variable)
      if(NOT DEFINED ${_distcc_launch_variable} AND _distcc_launch_jobs MATCHES "\"${_distcc_launch_number}\":([1-9][0-9]*)")
        set(${_distcc_launch_variable} distcc_${_distcc_launch_step})
        list(APPEND _distcc_launch_pools "distcc_${_distcc_launch_step}=${CMAKE_MATCH_1}")
      endif()
    endforeach()
  endif()
  # Files that change when the numbers do: then the build configures anew by itself.
  if(_distcc_launch_jobs MATCHES "\"watch\":\\[\"(.*)\"\\]")
    string(REPLACE "\",\"" ";" _distcc_launch_files "${CMAKE_MATCH_1}")
    foreach(_distcc_launch_file IN LISTS _distcc_launch_files)
      if(EXISTS "${_distcc_launch_file}")
        set_property(DIRECTORY "${CMAKE_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_distcc_launch_file}")
      endif()
    endforeach()
  endif()
endif()
if(CMAKE_VERSION VERSION_LESS 3.19)
  _distcc_launch_finish(${_distcc_launch_pools})
else()
  cmake_language(EVAL CODE "cmake_language(DEFER DIRECTORY [[${CMAKE_SOURCE_DIR}]]
    CALL _distcc_launch_finish ${_distcc_launch_pools})")
endif()
get_property(_distcc_launch_again GLOBAL PROPERTY DISTCC_LAUNCH_SAID)
if(NOT _distcc_launch_again)
  message(STATUS "${_distcc_launch_said}")
  set_property(GLOBAL PROPERTY DISTCC_LAUNCH_SAID TRUE)
endif()
