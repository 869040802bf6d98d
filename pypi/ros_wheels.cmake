# Lets an interface package build against the ROS 2 wheels of PyPI. Read only through CMAKE_PROJECT_INCLUDE, which the
# colcon_defaults.yaml beside this file and the packages' pyproject.toml set; a ROS distribution never reads it.

# The Python that is first on PATH, as an activated virtual environment has it; CMake by itself takes the newest there is.
find_program(Python3_EXECUTABLE NAMES python3 python REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter Development.Module NumPy)

# The wheels lie in the prefix of the interpreter's environment, which neither CMake nor the ament index searches.
execute_process(
  COMMAND "${Python3_EXECUTABLE}" -c "import ament_package, pathlib; print(pathlib.Path(ament_package.__file__).parents[4])"
  OUTPUT_VARIABLE _ros_wheels_prefix OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(APPEND CMAKE_PREFIX_PATH "${_ros_wheels_prefix}")
set(ENV{AMENT_PREFIX_PATH} "$ENV{AMENT_PREFIX_PATH}:${_ros_wheels_prefix}")

# Their exported targets name the Python and NumPy of the image they were built in.
function(_ros_wheels_fix_include_directories)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(directories MATCHES "/opt/python/")
      string(REGEX REPLACE "/opt/python/[^;]*/numpy/_core/include" "${Python3_NumPy_INCLUDE_DIRS}" directories "${directories}")
      string(REGEX REPLACE "/opt/python/[^;]*/include/python3\\.[0-9]+" "${Python3_INCLUDE_DIRS}" directories "${directories}")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${directories}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _ros_wheels_fix_include_directories)
